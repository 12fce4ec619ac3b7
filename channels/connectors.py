"""Which connectors there are: chosen by the settings, one a channel.

Enters: the room's settings. Leaves: connectors, none of which has connected to anything yet.
"""

from pathlib import Path

from channels.connector import Connector
from channels.outbox.connector import OutboxConnector
from channels.settings import ChannelsSettings


def chosen(settings: ChannelsSettings, data_dir: Path) -> list[Connector]:
    """The connectors that the settings name."""
    return [_email(settings, data_dir)]


def _email(settings: ChannelsSettings, data_dir: Path) -> Connector:
    if settings.email_connector == "sendgrid":
        from channels.email.connector import SendGridConnector  # its library is loaded by those who use it

        return SendGridConnector(settings.sendgrid)
    return OutboxConnector(settings.outbox_dir or data_dir / "outbox")
