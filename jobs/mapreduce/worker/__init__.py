"""The MapReduce worker: executes one map task or one reduce task on the machine it is started on.

    python -I -S jobs/mapreduce/worker TASK.json
    MAPREDUCE_TASK_URL=https://… python -I -S jobs/mapreduce/worker

It reads a task document and writes TASK.result.json beside it, or where the document says, at once or not at all.
Exit code 0: done; 1: failed, the result says why; 2: called wrongly. It needs Python 3.11 and coreutils' sort, and for
s3:// boto3 (then without -S). This folder may be copied and run alone. Temporary files go to TMPDIR, else /tmp.

A document at an http(s) address is named by the variable, not by an argument, so that it stands in no list of
processes; the variable is erased from /proc, too, before a program starts. Such a worker needs no credentials: all that
it reads and writes may be signed addresses, which stand in no error, log, result or environment of a program.

A map task reads splits of input objects, runs the mapper, and leaves its pairs sorted by partition and key: one
object `<output>/<id>_<partition>` for each partition that has any, or, where the output is an http(s) address, one
object with all partitions one after the other. One, as there may be 10 000 partitions: so many addresses would make the
document longer than most outputs, and so many requests longer than most tasks. A reduce task merges what all map
tasks have left for one partition, runs the reducer over it, and writes one output object, whole or not at all.

The task document; members without a default must be there, unknown ones are refused:

    version      1
    id           names the task and what it leaves
    job          "-"; told to programs
    stage        "map" | "reduce"
    index        which map task, or which partition
    protocol     "streaming" | "apollo"
    program      ["/path/of/program", "argument", …], or {"place": {"url"}, "arguments": []}, which is brought
    combiner     none; the same, for a streaming map task: reads and writes lines as a reducer does, but gives lines
                 of the same meaning; it is run over parts of a key's values, any number of times or never
    partitions   of the job, which is the number of reduce tasks
    input        map: [{place, "start": 0, "end": size, "size", "gzip": false}, …]; bytes of objects, the size being
                 that of the whole object; a compressed one is not cut
                 reduce: `outputs` of the results of all map tasks, those of this partition, ordered by map task;
                 empty ones are left out; at an http(s) address a part of an object, from "start" (0) on
    output       {place}: map: a folder or prefix, or the http(s) address of an object; reduce: the object
    result       none, which is beside the document; {place} at an http(s) address
    stores       {}; {name: {"endpoint": none, "region": "us-east-1", "access_key_env": "AWS_ACCESS_KEY_ID",
                 "secret_key_env": "AWS_SECRET_ACCESS_KEY"}}; programs do not see the named variables
    limits       {"seconds": 0 (no bound),
                  "sort_bytes": 64 Mi, of memory that sort takes,
                  "processes": 0 (one more than CPUs), of the apollo protocol at once,
                  "line_bytes": 16 Mi, of a line that a streaming mapper or combiner writes,
                  "answer_bytes": 8 Mi, of an answer in the apollo protocol,
                  "stderr_bytes": 4 Mi, of the programs' stderr that is passed on to ours}
    sockets      "/tmp"; the folder of the apollo protocol's sockets

A place is "path", absolute, or "url": s3://bucket/key with "store", a name of `stores` (none: AWS with the usual
variables), or an http(s) address, read by GET and written by PUT, then with "headers" ({}). Redirections of a PUT are
not followed, and it takes 5000 MiB at most.

The result document:

    version      1
    task         its id
    done         true | false
    seconds      that it took
    error        when not done: {"code", "message"}, and what applies of "program" (mapper, combiner, reducer),
                 "exit_code", "signal", "stderr" (its last lines), "number" (of the line or key), "line", "map" (the
                 task whose output is gone or broken: to be run again), "limit_seconds"
    records_in, bytes_in     lines and bytes of the splits; pairs and bytes merged
    records_out, bytes_out   pairs written by the mapper, and bytes left of them; lines or pairs of the output object
    groups       reduce: keys
    outputs      map: [{place, "map", "partition", "size"}, …]; of an http(s) address "start" stands for the place
    warnings     [texts for the user]

Codes: see `errors`.
"""
