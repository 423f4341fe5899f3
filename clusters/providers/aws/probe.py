"""Whether a region of AWS is set up as it has to be: looked at and tried without starting or changing anything.

What deploy/aws/policy.json permits is tried action by action: reads by asking for what is not there, actions of EC2
by dry runs, and the others by IAM's simulator, where that is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clusters.providers.aws.batch import LOG_GROUP
from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.grants import Grants
from clusters.providers.aws.instances import DEPLOYMENT, LIVING
from clusters.providers.aws.session import Session
from clusters.providers.base import Probe
from clusters.providers.errors import AuthFailed, NotFound, ProviderError, Refused, Throttled

_PERMITTED: Final = "permitted"
_GIVE: Final = "give it to the role, as deploy/aws/policy.json does"
_DRY: Final = "DryRunOperation"
_NO_JOB: Final = "00000000-0000-0000-0000-000000000000"
_NO_MACHINE: Final = "i-00000000000000000"
_NO_IMAGE: Final = "ami-00000000000000000"
_TAG: Final = f"aws:ResourceTag/{DEPLOYMENT}"
_READS: Final = ("DescribeImages", "DescribeInstanceTypes", "DescribeInstances", "DescribeSpotInstanceRequests")
Row = Mapping[str, Any]


class Prober:
    """One look at the account in which `customer`'s works run; "": at our own."""

    def __init__(self, config: AwsConfig, session: Session, customer: str) -> None:
        self._config = config
        self._session = session
        self._customer = customer
        self._account = config.account_of(customer)
        self._silent: set[str] = set()  # services that did not answer: each further call would wait as long
        self._found: list[Probe] = []
        self._queues: list[Row] = []

    def probes(self) -> list[Probe]:
        """In the order in which they are put right: without credentials, nothing else can be told."""
        if self._has_credentials():
            self._look_at_queues()
            self._read_batch()
            self._change_batch()
            self._look_at_networks()
            self._try_machines()
            self._pass_roles()
            self._try_containers()
        return self._found

    def container_probes(self) -> list[Probe]:
        """What long-running containers need, and nothing else."""
        if self._has_credentials():
            self._try_containers()
        return self._found

    # Who we are

    def _has_credentials(self) -> bool:
        identity = self._identity("")
        if identity and self._account:
            identity = self._identity(self._account)
        elif identity and self._customer:
            words = f"AWS_CUSTOMER_ROLES has none for {self._customer}: their jobs run in our own account"
            self._tell("the customer's role", None, words)
        if identity:
            self._grants = Grants(self._session, self._account, self._config, identity)
        return bool(identity)

    def _identity(self, account: str) -> str:
        """The address of the role or user as whom we call; empty when there is none."""
        what = "the customer's role" if account else "credentials"
        try:
            arn = str(self._session.call(account, "sts", "GetCallerIdentity")["Arn"])
        except ProviderError as error:
            help_ = (
                "the role there has to trust ours, with the external id agreed upon (deploy/aws/customer-trust.json)"
                if account
                else "boto looks for them in the environment, in a profile and at the machine's role"
            )
            if isinstance(error, AuthFailed):
                self._tell(what, False, f"{error}; {help_}")
            else:
                self._tell(what, False, f"AWS cannot be asked: {error}")
            return ""
        self._tell(what, True, f"we call as {arn}")
        return arn

    # Queues

    def _look_at_queues(self) -> None:
        names = sorted(set(self._config.queues.values()))
        answer = self._asked("batch", "DescribeJobQueues", jobQueues=names)
        if answer is None:
            return
        self._queues = list(answer["jobQueues"])
        there = {str(row["jobQueueName"]): row for row in self._queues}
        for name in names:
            if name in there:
                self._tell_state(f"queue {name}", there[name])
            else:
                self._tell(f"queue {name}", False, "there is none of this name: make it, or change AWS_BATCH_QUEUES")
        self._look_at_environments()

    def _look_at_environments(self) -> None:
        orders = [order for row in self._queues for order in row.get("computeEnvironmentOrder", [])]
        names = sorted({str(order["computeEnvironment"]) for order in orders})
        answer = self._asked("batch", "DescribeComputeEnvironments", computeEnvironments=names)
        for row in answer["computeEnvironments"] if answer else ():
            if names:  # without names, AWS answers with all that there are
                self._tell_state(f"compute environment {row['computeEnvironmentName']}", row)

    def _tell_state(self, what: str, row: Row) -> None:
        ok = row.get("state") == "ENABLED" and row.get("status") == "VALID"
        words = f"{row.get('state', '')}, {row.get('status', '')}"
        if row.get("statusReason") and not ok:
            words += f": {row['statusReason']}"
        self._tell(what, ok, words if ok else f"{words}; it has to be ENABLED and VALID")

    # AWS Batch

    def _read_batch(self) -> None:
        self._asked("batch", "DescribeJobDefinitions", jobDefinitionName=f"{self._config.prefix}-probe")
        self._asked("batch", "DescribeJobs", jobs=[_NO_JOB])
        if self._queues:
            queue = str(self._queues[0]["jobQueueName"])
            named = [{"name": "JOB_NAME", "values": [_NO_JOB]}]
            self._asked("batch", "ListJobs", jobQueue=queue, filters=named)
            self._asked("batch", "GetJobQueueSnapshot", jobQueue=queue)
        else:
            for action in ("ListJobs", "GetJobQueueSnapshot"):
                self._tell(f"batch:{action}", None, "there is no queue to ask about")
        self._asked(
            "logs", "GetLogEvents", logGroupName=LOG_GROUP, logStreamName=f"{self._config.prefix}/probe", limit=1
        )

    def _change_batch(self) -> None:
        definition = self._grants.arn("batch", f"job-definition/{self._config.prefix}-probe")
        job = self._grants.arn("batch", f"job/{_NO_JOB}")
        queues = [str(row["jobQueueArn"]) for row in self._queues]
        self._simulated("batch:RegisterJobDefinition", definition)
        self._simulated("batch:SubmitJob", definition, *queues)
        self._simulated("batch:TagResource", definition, job)
        self._simulated("batch:TerminateJob", job)

    # Machines of EC2

    def _look_at_networks(self) -> None:
        """Those of the configuration by name; a customer's have tags, and are looked for when they are needed."""
        ours = not self._account
        for action, asked, names in (
            ("DescribeSubnets", "SubnetIds", self._config.subnets if ours else ()),
            ("DescribeSecurityGroups", "GroupIds", self._config.security_groups if ours else ()),
        ):
            if not names:
                self._dry(action)
                continue
            try:
                self._call("ec2", action, **{asked: list(names)})
            except Refused as error:
                self._tell(f"ec2:{action}", False, f"{error}; AWS_EC2_NETWORKS has to name what is there")
            except ProviderError as error:
                self._tell_error(f"ec2:{action}", error)
            else:
                self._tell(f"ec2:{action}", True, f"permitted; {', '.join(names)} there")

    def _try_machines(self) -> None:
        for action in _READS:
            self._dry(action)
        prefix = self._config.prefix
        template = {"LaunchTemplateName": f"{prefix}-probe", "Version": "$Default"}
        self._dry(
            "CreateLaunchTemplate", LaunchTemplateName=f"{prefix}-probe", LaunchTemplateData={"ImageId": _NO_IMAGE}
        )
        self._dry(
            "CreateFleet",
            Type="instant",
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template}],
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
        )
        self._dry("RunInstances", ImageId=_NO_IMAGE, MinCount=1, MaxCount=1)
        self._dry("CreateTags", Resources=[_NO_MACHINE], Tags=[{"Key": DEPLOYMENT, "Value": prefix}])
        # Only ours may be read and ended, by their tag: one that is not there has none.
        machine = self._machine()
        for action, asked in (
            ("GetConsoleOutput", {"InstanceId": machine}),
            ("TerminateInstances", {"InstanceIds": [machine]}),
        ):
            if machine:
                self._dry(action, **asked)
            else:
                instance = self._grants.arn("ec2", f"instance/{_NO_MACHINE}")
                self._simulated(f"ec2:{action}", instance, **{_TAG: prefix})

    def _machine(self) -> str:
        """A machine of ours that lives; empty when there is none, or it cannot be told."""
        wanted = [
            {"Name": f"tag:{DEPLOYMENT}", "Values": [self._config.prefix]},
            {"Name": "instance-state-name", "Values": list(LIVING)},
        ]
        try:
            answer = self._call("ec2", "DescribeInstances", Filters=wanted)
        except ProviderError:
            return ""
        rows = (row for group in answer.get("Reservations", []) for row in group.get("Instances", []))
        return next((str(row["InstanceId"]) for row in rows), "")

    def _dry(self, action: str, **arguments: Any) -> None:
        """A dry run. What AWS does not decide by it, since something named is not there, the simulator may."""
        what = f"ec2:{action}"
        try:
            self._call("ec2", action, DryRun=True, **arguments)
        except (Refused, NotFound) as error:
            if _DRY in str(error):
                self._tell(what, True, f"{_PERMITTED}, by a dry run")
            else:
                self._simulated(what, otherwise=f"a dry run does not tell: {error}")
        except ProviderError as error:
            self._tell_error(what, error)
        else:
            self._tell(what, True, _PERMITTED)

    # Roles that are given on

    def _pass_roles(self) -> None:
        config = self._config
        self._pass_to_tasks(config.job_role_arn, config.execution_role_arn)
        if config.instance_profile:
            role = self._grants.arn("iam", f"role/{config.instance_profile}")
            self._simulated("iam:PassRole", role, **{"iam:PassedToService": "ec2.amazonaws.com"})

    def _pass_to_tasks(self, *roles: str) -> None:
        for role in sorted({*roles} - {""}):
            there = self._config.role_of(role, self._account)
            self._simulated("iam:PassRole", there, **{"iam:PassedToService": "ecs-tasks.amazonaws.com"})

    # Long-running containers

    def _try_containers(self) -> None:
        """Nothing where no cluster is named for them."""
        containers, prefix = self._config.containers, self._config.prefix
        if containers is None:
            return
        cluster, name = containers.cluster, f"{prefix}-{_NO_JOB}"
        self._look_at_cluster(cluster)
        self._asked("ecs", "ListServices", cluster=cluster, maxResults=1)
        self._asked("ecs", "DescribeServices", cluster=cluster, services=[name])
        self._asked("ecs", "ListTasks", cluster=cluster, maxResults=1)
        self._asked("ecs", "DescribeTasks", cluster=cluster, tasks=[_NO_JOB.replace("-", "")])
        self._asked("ecs", "ListTaskDefinitions", familyPrefix=name)
        self._asked("ecs", "ListTaskDefinitionFamilies", familyPrefix=name)
        self._look_at_log_group(containers.log_group, name)
        if containers.public_ip:
            self._dry("DescribeNetworkInterfaces")
        definition = self._grants.arn("ecs", f"task-definition/{name}:1")
        service = self._grants.arn("ecs", f"service/{cluster}/{name}")
        self._simulated("ecs:RegisterTaskDefinition")
        self._simulated("ecs:DeregisterTaskDefinition")
        self._simulated("ecs:DeleteTaskDefinitions", definition)
        for action in ("CreateService", "UpdateService", "DeleteService"):
            self._simulated(f"ecs:{action}", service)
        self._simulated("ecs:TagResource", service, definition)
        below = {"Key": "Path", "Option": "Recursive", "Values": [f"/{prefix}/{_NO_JOB}"]}
        self._asked("ssm", "DescribeParameters", ParameterFilters=[below], MaxResults=1)
        parameter = self._grants.arn("ssm", f"parameter/{prefix}/{_NO_JOB}/probe")
        for action in ("PutParameter", "DeleteParameters"):
            self._simulated(f"ssm:{action}", parameter)
        self._pass_to_tasks(containers.task_role_arn, containers.execution_role_arn)

    def _look_at_cluster(self, name: str) -> None:
        answer = self._asked("ecs", "DescribeClusters", clusters=[name])
        if answer is None:
            return
        row = next(iter(answer.get("clusters", [])), None)
        if row is None:
            self._tell(f"cluster {name}", False, "there is none of this name: make it, or change AWS_ECS_CLUSTERS")
            return
        ok, status = row.get("status") == "ACTIVE", str(row.get("status", ""))
        self._tell(f"cluster {name}", ok, status if ok else f"{status}; it has to be ACTIVE")

    def _look_at_log_group(self, group: str, stream: str) -> None:
        what = "logs:DescribeLogStreams"
        try:
            self._call("logs", "DescribeLogStreams", logGroupName=group, logStreamNamePrefix=stream, limit=1)
        except NotFound:
            self._tell(what, True, _PERMITTED)
            self._tell(f"log group {group}", False, "there is none of this name: make it, or change AWS_ECS_LOG_GROUP")
        except ProviderError as error:
            self._tell_error(what, error)
        else:
            self._tell(what, True, _PERMITTED)
            self._tell(f"log group {group}", True, "there")
        self._asked("logs", "GetLogEvents", logGroupName=group, logStreamName=f"{stream}/main/probe", limit=1)

    # How each is told

    def _call(self, service: str, action: str, **arguments: Any) -> Row:
        """Raises as Session.call does; a service that has not answered once is not waited for again."""
        if service in self._silent:
            raise Throttled(f"not asked, as {service} has not answered before")
        try:
            return self._session.call(self._account, service, action, **arguments)
        except ProviderError as error:
            if type(error) is ProviderError:
                self._silent.add(service)
            raise

    def _asked(self, service: str, action: str, **arguments: Any) -> Row | None:
        """The answer to a read, which is told as permitted also when AWS does not know what was asked about."""
        what = f"{service}:{action}"
        try:
            answer = self._call(service, action, **arguments)
        except NotFound:
            self._tell(what, True, _PERMITTED)
            return None
        except ProviderError as error:
            self._tell_error(what, error)
            return None
        self._tell(what, True, _PERMITTED)
        return answer

    def _simulated(self, what: str, *resources: str, otherwise: str = "", **context: str) -> None:
        ok, words = self._grants.simulated(what, resources, context)
        on = f" on {', '.join(resources)}" if resources and what == "iam:PassRole" else ""
        if ok is False:
            words = f"the permission {what} is missing{on}: {words}; {_GIVE}"
        elif ok is None and otherwise:
            words = f"{otherwise}; {words}"
        self._tell(what, ok, words if ok is False else f"{words}{on}")

    def _tell_error(self, what: str, error: ProviderError) -> None:
        if isinstance(error, AuthFailed):
            self._tell(what, False, f"the permission {what} is missing: {error}; {_GIVE}")
        elif isinstance(error, (Throttled, Refused)):
            self._tell(what, None, f"could not be told: {error}")
        else:
            self._tell(what, False, f"it does not answer: {error}")

    def _tell(self, what: str, ok: bool | None, words: str) -> None:
        self._found.append(Probe(what, ok, words))
