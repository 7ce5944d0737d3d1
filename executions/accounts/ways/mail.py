"""Sends a sign-in code: by Resend, by SMTP, or to the log where no mail is configured.

A thread sends, so that the answer takes as long for an unknown address as for a known one.
"""

import logging
import smtplib
import ssl
import threading
from email.message import EmailMessage
from email.utils import make_msgid
from ipaddress import ip_address

import requests
from django.conf import settings
from django.utils.translation import gettext as _

from multica_admin.mail import MailSetting

log = logging.getLogger(__name__)

# A server that does not answer must not keep a thread.
DEADLINE_SECONDS = 10


class MailRefused(Exception):
    """The mail server did not take the mail. The text has no secret and no address."""


def send_code(address: str, code: str) -> None:
    """Begin to send the code, and return at once."""
    mail: MailSetting | None = settings.WAYS.mail
    if mail is None:
        # The line of Multica's backend, and the one secret that is ever logged.
        log.info("[DEV] Verification code for %s: %s", address, code)
        return
    subject = _("Your Multica Admin code")
    text = _(
        "Your code for Multica Admin is %(code)s. It is good for %(minutes)s minutes and for one"
        " sign-in.\n\nIf you did not ask for it, ignore this mail: nobody signed in."
    ) % {"code": code, "minutes": settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT // 60}
    threading.Thread(
        target=_send, args=(mail, address, subject, text), name="sign-in code", daemon=True
    ).start()


def _send(mail: MailSetting, address: str, subject: str, text: str) -> None:
    try:
        if mail.resend_key:
            _by_resend(mail, address, subject, text)
        else:
            _by_smtp(mail, address, subject, text)
    except MailRefused as refusal:
        log.error("A sign-in code was not sent: %s", refusal)
    except (OSError, smtplib.SMTPException) as error:
        # Only its kind: the text of an error may quote what was sent.
        log.error("A sign-in code was not sent: %s", type(error).__name__)


def _by_resend(mail: MailSetting, address: str, subject: str, text: str) -> None:
    answer = requests.post(
        f"{mail.resend_url}/emails",
        json={"from": mail.sender, "to": [address], "subject": subject, "text": text},
        headers={"Authorization": f"Bearer {mail.resend_key}"},
        timeout=DEADLINE_SECONDS,
        allow_redirects=False,
    )
    if not answer.ok or answer.is_redirect:
        raise MailRefused(f"Resend answered {answer.status_code}")


def _by_smtp(mail: MailSetting, address: str, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, address, subject
    message["Message-ID"] = make_msgid(domain=mail.sender.partition("@")[2].strip("> "))
    message.set_content(text)
    trust = ssl.create_default_context()
    if mail.insecure:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    ehlo = mail.ehlo or None
    with (
        smtplib.SMTP_SSL(mail.host, mail.port, ehlo, context=trust, timeout=DEADLINE_SECONDS)
        if mail.tls == "implicit"
        else smtplib.SMTP(mail.host, mail.port, ehlo, timeout=DEADLINE_SECONDS)
    ) as server:
        server.ehlo_or_helo_if_needed()
        hidden = mail.tls == "implicit"
        if not hidden and server.has_extn("starttls"):
            server.starttls(context=trust)
            hidden = True
        if mail.username:
            if not (hidden or _is_this_machine(mail.host)):
                raise MailRefused("the server offers no TLS, so the password was not sent")
            server.login(mail.username, mail.password)
        server.send_message(message)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
