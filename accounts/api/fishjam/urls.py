from django.urls import path

from accounts.api.fishjam import account_views as account
from accounts.api.fishjam import google_views as google
from accounts.api.fishjam import team_views as team
from accounts.api.fishjam import token_views as tokens
from accounts.api.fishjam import webhook_views as webhooks

urlpatterns = [
    path("api/v1/auth/sign-in", account.SignIn.as_view(), name="fishjam-sign-in"),
    path("api/v1/auth/sign-out", account.SignOut.as_view(), name="fishjam-sign-out"),
    path("api/v1/auth/sign-up", account.SignUp.as_view(), name="fishjam-sign-up"),
    path("api/v1/auth/verify", account.Verify.as_view(), name="fishjam-verify"),
    path("api/v1/auth/resend-verification", account.ResendVerification.as_view(), name="fishjam-resend-verification"),
    path("api/v1/auth/user", account.CurrentUser.as_view(), name="fishjam-user"),
    path("api/v1/auth/csrf", account.Csrf.as_view(), name="fishjam-csrf"),
    path("api/v1/auth/google/register", google.GoogleRegister.as_view(), name="fishjam-google-register"),
    path("api/v1/auth/google/login", google.GoogleLogin.as_view(), name="fishjam-google-login"),
    path("api/v1/auth/reset-password", account.ResetPassword.as_view(), name="fishjam-reset-password"),
    path(
        "api/v1/auth/reset-password/<str:user_uuid>/<str:token>",
        account.ConfirmReset.as_view(),
        name="fishjam-confirm-reset",
    ),
    path("api/v1/auth/change-password", account.ChangePassword.as_view(), name="fishjam-change-password"),
    path("api/v1/tokens", tokens.Tokens.as_view(), name="fishjam-tokens"),
    path("api/v1/tokens/<str:token_uuid>", tokens.OneToken.as_view(), name="fishjam-token"),
    path("api/v1/feedback", team.SendFeedback.as_view(), name="fishjam-feedback"),
    path("api/v1/limit-change-requests", team.LimitRequests.as_view(), name="fishjam-limit-change-requests"),
    path("api/v1/notifications/schema", webhooks.NotificationSchema.as_view(), name="fishjam-notification-schema"),
    path("api/v1/webhooks", webhooks.Webhooks.as_view(), name="fishjam-webhooks"),
    path("api/v1/webhooks/<str:uuid>", webhooks.OneWebhook.as_view(), name="fishjam-webhook"),
]
