"""Which form a message takes on which channel. Enters: content and channel. Leaves: the check and the rendering of that channel's form. Pure.

A channel without a form of its own takes email's.
"""

from channels import rendering
from channels.connector import Message
from channels.content import Content
from channels.links import MessageLinks
from channels.push import form as push
from channels.rendering import Envelope, Sender

PUSH = "push"


def check(content: Content, channel: str) -> None:
    """Everything about a content that can be refused before there is a recipient. Raises Unrenderable."""
    (push.check if channel == PUSH else rendering.check)(content)


def render(
    content: Content, envelope: Envelope, links: MessageLinks, sender: Sender, *, default_locale: str
) -> Message:
    """The message in the form of the envelope's channel. Raises Unrenderable."""
    form = push.render if envelope.channel == PUSH else rendering.render
    return form(content, envelope, links, sender, default_locale=default_locale)
