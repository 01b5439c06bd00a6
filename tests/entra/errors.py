"""What Entra says no with: one table of numbers, `error` words and texts.

Codes, words and the beginnings of the texts are those of Microsoft's list of error codes and of published logs.
`{name}` is filled in where the request has it; a text that nothing is known for stands as it is.
"""

import time
import uuid
from dataclasses import dataclass, field

_DEFAULTS = {"client_id": "-", "tenant": "-", "parameter": "-", "value": "-", "user": "-", "now": "-", "reason": "-"}


@dataclass(eq=False)
class Refusal(Exception):
    """An error of the endpoint. `number` is AADSTS's, None for none; `status`, `error` and `text` are the table's
    unless they are given."""
    number: int | None
    details: dict = field(default_factory=dict)
    status: int | None = None
    error: str | None = None
    text: str | None = None
    suberror: str | None = None

    def __post_init__(self):
        row = ERRORS.get(self.number, (400, "invalid_request", "An error occurred."))
        self.status = self.status or row[0]
        self.error = self.error if self.error is not None else row[1]
        self.text = self.text if self.text is not None else row[2]
        self.suberror = self.suberror if self.suberror is not None else _SUBERRORS.get(self.number)

    def answer(self, now, correlation, authority):
        """The JSON of the answer. `now` is the endpoint's clock, `correlation` the request's id."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now))
        trace = str(uuid.uuid4())
        known = {name: value for name, value in self.details.items() if value is not None}
        text = self.text.format_map(_Filled({"now": stamp, **known}))
        prefix = f"AADSTS{self.number}: " if self.number is not None else ""
        answer = {
            "error": self.error,
            "error_description": f"{prefix}{text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}",
            "error_codes": [self.number] if self.number is not None else [],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{authority}/error?code={self.number}",
        }
        if self.suberror:
            answer["suberror"] = self.suberror
        return answer


class _Filled(dict):
    def __missing__(self, name):
        return _DEFAULTS.get(name, "-")


_SUBERRORS = {70000: "bad_token", 700082: "token_expired", 70008: "token_expired", 70043: "token_expired",
              65001: "consent_required", 50076: "basic_action", 53003: "message_only", 50173: "bad_token"}

_CLIENT = (401, "invalid_client")
_UNKNOWN = (400, "unauthorized_client")
_REQUEST = (400, "invalid_request")
_SCOPE = (400, "invalid_scope")
_RESOURCE = (400, "invalid_resource")
_GRANT = (400, "invalid_grant")
_INTERACTION = (400, "interaction_required")
_TROUBLE = (503, "temporarily_unavailable")

# number -> (HTTP status, error, text)
ERRORS = {
    # The client's credential
    7000215: (*_CLIENT, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                        "value, not the client secret ID, for a secret added to app '{client_id}'."),
    7000222: (*_CLIENT, "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to "
                        "create new keys for your app, or consider using certificate credentials for added security."),
    7000218: (*_CLIENT, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
    700025: (*_CLIENT, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
    700027: (*_CLIENT, "The certificate with identifier used to sign the client assertion is not registered on "
                       "application. [Reason - {reason}]"),
    700024: (*_CLIENT, "Client assertion is not within its valid time range. Current time: {now}, {reason}."),
    500133: (*_CLIENT, "Assertion is not within its valid time range. Current time: {now}, {reason}."),
    700021: (*_CLIENT, "Client assertion application identifier doesn't match 'client_id' parameter."),
    700023: (*_CLIENT, "Client assertion audience claim does not match Realm issuer. {reason}"),
    700030: (*_CLIENT, "Invalid certificate - subject name in certificate isn't authorized."),
    50012: (*_CLIENT, "Authentication failed. {reason}"),
    50027: (*_CLIENT, "JWT token is invalid or malformed. {reason}"),
    50048: (*_CLIENT, "Subject must match Issuer claim in the client assertion."),
    700211: (*_CLIENT, "No matching federated identity record found for presented assertion issuer '{value}'."),
    700212: (*_CLIENT, "No matching federated identity record found for presented assertion audience '{value}'."),
    700213: (*_CLIENT, "No matching federated identity record found for presented assertion subject '{value}'."),
    70021: (*_REQUEST, "No matching federated identity record found for presented assertion."),
    7002137: (*_CLIENT, "No matching federated identity record found for presented assertion: audience, issuer, subject."),
    7002138: (*_CLIENT, "No matching federated identity record found for presented assertion claims expression."),
    # The application
    700016: (*_UNKNOWN, "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen "
                        "if the application has not been installed by the administrator of the tenant or consented to "
                        "by any user in the tenant."),
    7000229: (*_CLIENT, "The client application {client_id} is missing service principal in the tenant {tenant}."),
    7000112: (*_UNKNOWN, "Application '{client_id}' is disabled."),
    70001: (*_UNKNOWN, "The application named {client_id} was not found in the tenant named {tenant}, or is disabled."),
    501051: (*_GRANT, "Application '{client_id}' is not assigned to a role for the application."),
    50105: (*_GRANT, "Your administrator has configured the application '{client_id}' to block users unless they are "
                     "specifically granted ('assigned') access to it."),
    # The tenant and its cloud
    90002: (*_REQUEST, "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                       "the correct cloud."),
    900439: (*_REQUEST, "USGClientNotSupportedOnPublicEndpoint: the tenant '{tenant}' belongs to a US Government cloud."),
    90038: (*_REQUEST, "Confidential client is not supported in cross cloud request: tenant '{tenant}' is of another cloud."),
    900382: (*_REQUEST, "Confidential Client is not supported in Cross Cloud request."),
    900432: (*_REQUEST, "Confidential Client is not supported in Cross Cloud request."),
    9001023: (*_REQUEST, "The grant type is not supported over the /common or /consumers endpoints. Please use the "
                         "/organizations or tenant-specific endpoint."),
    50194: (*_REQUEST, "Application '{client_id}' is not configured as a multi-tenant application. Usage of the /common "
                       "endpoint is not supported for such apps."),
    90130: (*_REQUEST, "Application '{client_id}' is not supported over the /common or /consumers endpoints."),
    # The request
    900144: (*_REQUEST, "The request body must contain the following parameter: '{parameter}'."),
    90014: (*_REQUEST, "The required field '{parameter}' is missing from the credential. Ensure that you have all the "
                       "necessary parameters for the login request."),
    70003: (400, "unsupported_grant_type", "The app requested an unsupported grant type '{value}'."),
    900561: (405, "invalid_request", "The endpoint only accepts POST requests. Received a {value} request."),
    70011: (*_SCOPE, "The provided request must include a 'scope' input parameter. The provided value for the input "
                     "parameter 'scope' is not valid. The scope {value} is not valid."),
    28002: (*_SCOPE, "Provided value for the input parameter scope '{value}' is not valid when requesting an access token: "
                     "it names more than one resource."),
    700022: (*_SCOPE, "The provided value for the input parameter scope isn't valid because it contains more than one resource."),
    500011: (*_RESOURCE, "The resource principal named {value} was not found in the tenant named {tenant}."),
    50001: (*_RESOURCE, "The resource named {value} was not found in the tenant named {tenant}, or is disabled."),
    # Consent, policies
    65001: (*_GRANT, "The user or administrator has not consented to use the application with ID '{client_id}'."),
    90094: (*_GRANT, "Admin consent is required for the permissions requested by this application."),
    650056: (*_UNKNOWN, "Misconfigured application: no permission for the resource is listed, or the admin has not consented."),
    650052: (*_REQUEST, "The app is trying to access a service that your organization '{tenant}' lacks a service principal for."),
    53003: (400, "access_denied", "Access has been blocked by Conditional Access policies. The access policy does not allow "
                                  "token issuance."),
    53000: (*_INTERACTION, "Device is not in required device state: {reason}."),
    53001: (*_INTERACTION, "Device is not in required device state: {reason}. Domain joined devices are required."),
    53002: (*_INTERACTION, "The app used is not an approved app for Conditional Access."),
    53004: (*_INTERACTION, "User needs to complete the multi-factor authentication registration process before accessing this "
                           "content."),
    530032: (400, "access_denied", "User blocked due to risk or by a tenant security policy."),
    530035: (400, "access_denied", "Access has been blocked by security defaults."),
    53011: (400, "access_denied", "User blocked due to risk on home tenant."),
    50131: (*_GRANT, "Device is not in required device state, or the request was blocked by Conditional Access."),
    50076: (*_INTERACTION, "Due to a configuration change made by your administrator, or because you moved to a new location, "
                           "you must use multi-factor authentication to access the resource."),
    50079: (*_INTERACTION, "Due to a configuration change made by your administrator, you must enroll in multi-factor "
                           "authentication to access the resource."),
    50074: (*_INTERACTION, "Strong Authentication is required."),
    50072: (*_INTERACTION, "The user must enroll in multi-factor authentication to access the resource."),
    50078: (*_INTERACTION, "Presented multi-factor authentication has expired due to policies configured by your administrator."),
    70043: (*_GRANT, "The refresh token has expired or is invalid due to sign-in frequency checks by Conditional Access."),
    # The grant
    700082: (*_GRANT, "The refresh token has expired due to inactivity. {reason}"),
    70008: (*_GRANT, "The provided authorization code or refresh token has expired due to inactivity."),
    50173: (*_GRANT, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
                     "changed or reset their password."),
    50133: (*_GRANT, "Session is invalid due to expiration or recent password change."),
    50132: (*_GRANT, "The session is not valid due to password expiration or recent password change."),
    50089: (*_GRANT, "Authentication failed due to flow token expired."),
    70000: (*_GRANT, "Provided grant is invalid or malformed. {reason}"),
    7000012: (*_GRANT, "The grant was obtained for a different tenant."),
    700005: (*_GRANT, "The provided authorization code is intended to use against other tenant, thus rejected."),
    # The person
    50034: (*_GRANT, "The user account {user} does not exist in the {tenant} directory."),
    50057: (*_GRANT, "The user account is disabled."),
    50053: (*_GRANT, "The account is locked, you've tried to sign in too many times with an incorrect user ID or password, or the "
                     "sign-in came from an address with malicious activity."),
    50055: (*_GRANT, "The password is expired."),
    50126: (*_GRANT, "Error validating credentials due to invalid username or password."),
    # The device code
    70016: (400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
    70018: (400, "bad_verification_code", "Invalid verification code due to user typing in wrong user code for device code flow."),
    70019: (400, "expired_token", "Verification code expired."),
    90119: (*_REQUEST, "The user code is null or empty."),
    90120: (*_REQUEST, "The device code was already authorized or declined."),
    50134: (*_REQUEST, "Wrong data center. To authorize a request that was initiated by an app in the OAuth 2.0 device flow, the "
                       "authorizing party must be in the same data center where the original request resides."),
    # Trouble
    50196: (*_GRANT, "The server terminated an operation because it encountered a client request loop."),
    90055: (429, "temporarily_unavailable", "Tenant '{tenant}' throttled: too many incoming requests."),
    50033: (*_TROUBLE, "A transient error has occurred. Please try again."),
    50087: (*_TROUBLE, "A transient error has occurred during single sign-out. Please try again."),
    90006: (*_TROUBLE, "External server error has occurred. Please try again."),
    90012: (*_TROUBLE, "The request timed out."),
    90024: (*_TROUBLE, "A transient error has occurred. Please try again."),
    90033: (*_TROUBLE, "A transient error has occurred. Please try again."),
    90090: (*_TROUBLE, "GraphRetryableError: the service is temporarily unavailable."),
}

# What a device flow answers has an error of its own and these numbers.
DECLINED = Refusal(70016, status=400, error="authorization_declined", text="The end-user denied the authorization request.")
TOO_FAST = {"number": 70016, "error": "slow_down", "text": "The client polls too often. Slow down."}
