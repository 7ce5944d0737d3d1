"""The WSGI application that gunicorn serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from multica_admin.client_address import FromClient, Proxies
from multica_admin.public_url import AsPublished
from multica_admin.stack import with_room

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "multica_admin.settings")
application = with_room(
    FromClient(
        AsPublished(get_wsgi_application(), settings.PUBLIC),
        Proxies.named(settings.TRUSTED_PROXIES),
    )
)
