"""How mail leaves, in the names of Multica's own settings. It sends nothing."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from multica_admin.env import BadSetting, Environment
from multica_admin.language import later

_TLS_MODES = {
    "": "starttls",
    "starttls": "starttls",
    "implicit": "implicit",
    "smtps": "implicit",
    "ssl": "implicit",
}
_SCHEMES = {"smtp": "starttls", "smtp+tls": "starttls", "smtps": "implicit"}
_SMTPS_PORT = 465
_SMTP_PORT = 25


@dataclass(frozen=True)
class MailSetting:
    """Through Resend if there is its key, else through the SMTP server at ``host``.

    ``tls`` is "implicit" from the first byte on, or "starttls" if the server offers it.
    """

    sender: str
    resend_key: str = field(default="", repr=False)
    resend_url: str = "https://api.resend.com"
    host: str = ""
    port: int = _SMTP_PORT
    username: str = ""
    password: str = field(default="", repr=False)
    tls: str = "starttls"
    insecure: bool = False
    ehlo: str = ""


def read_mail(env: Environment) -> MailSetting | None:
    """The SMTP server goes before Resend, as in Multica's backend. None: no mail is configured.

    Raises:
        BadSetting: a value is unusable, or there is no sender.
    """
    url, host = env.secret("EMAIL_URL"), env.text("SMTP_HOST")
    if url and host:
        raise BadSetting(
            "EMAIL_URL", later("and %(other)s are both set; keep one of them.", other="SMTP_HOST")
        )
    if url:
        return _from_url(env, url)
    if host:
        return _from_parts(env, host)
    key = env.secret("RESEND_API_KEY")
    if not key:
        return None
    base = env.text("RESEND_BASE_URL", MailSetting.resend_url).rstrip("/")
    return MailSetting(sender=_sender(env), resend_key=key, resend_url=base)


def _sender(env: Environment, username: str = "") -> str:
    sender = env.text("SMTP_FROM_EMAIL") or env.text("RESEND_FROM_EMAIL") or username
    if "@" not in sender or not sender.isprintable():
        raise BadSetting(
            "RESEND_FROM_EMAIL",
            later("must be the address that mail comes from, such as admin@example.com."),
        )
    return sender


def _from_parts(env: Environment, host: str) -> MailSetting:
    port = env.integer("SMTP_PORT", _SMTP_PORT, minimum=1, maximum=65535)
    mode, username = env.text("SMTP_TLS").lower(), env.text("SMTP_USERNAME")
    if mode not in _TLS_MODES:
        raise BadSetting(
            "SMTP_TLS", later("is %(value)r; it must be starttls or implicit.", value=mode)
        )
    return MailSetting(
        sender=_sender(env, username),
        host=host,
        port=port,
        username=username,
        password=env.secret("SMTP_PASSWORD"),
        tls="implicit" if port == _SMTPS_PORT else _TLS_MODES[mode],
        insecure=env.boolean("SMTP_TLS_INSECURE", False),
        ehlo=env.text("SMTP_EHLO_NAME"),
    )


def _from_url(env: Environment, url: str) -> MailSetting:
    """The parts of ``smtp://user:password@host:port``. The URL's text is in no sentence."""
    problem = later(
        "must be smtp://USER:PASSWORD@HOST:PORT, or smtps:// for TLS from the first byte on;"
        " characters such as @ in the password are written as %%40."
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadSetting("EMAIL_URL", problem) from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise BadSetting("EMAIL_URL", problem)
    tls, username = _SCHEMES[parts.scheme], unquote(parts.username or "")
    return MailSetting(
        sender=_sender(env, username),
        host=parts.hostname,
        port=port or (_SMTPS_PORT if tls == "implicit" else _SMTP_PORT),
        username=username,
        password=unquote(parts.password or ""),
        tls=tls,
        insecure=env.boolean("SMTP_TLS_INSECURE", False),
        ehlo=env.text("SMTP_EHLO_NAME"),
    )
