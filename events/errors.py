"""Accidents of the collection door. A refused item of a batch is no accident: it is an ``ItemResult`` with a reason."""

from kernel.errors import Conflict, InvalidInput, NotFound, NotPermitted, Unavailable


class UnknownSource(NotFound):
    """The source was never registered, so nobody declared why it may collect."""

    code = "unknown_source"
    remedy = (
        "Declare it with its purpose: candor keys create --scope collect --source NAME --collect-under PURPOSE, "
        "or collect_under in the map of an import."
    )


class UndeclaredSource(InvalidInput):
    """A source without purpose and basis may not collect."""

    code = "undeclared_source"
    remedy = "Declare collect_under: {purpose: …, basis: …}; the shipped purposes are listed in consent/purposes.py."


class SourceDiffers(Conflict):
    """The source exists under another declaration; the words of a declaration are not changed in passing."""

    code = "source_differs"
    remedy = "Use the declared purpose and basis, or give this feed another source name."


class BadBody(InvalidInput):
    """The request body is not one call or one batch."""

    code = "bad_body"
    remedy = "Send one JSON object, UTF-8, at most 500 KB after decompression; see the Segment spec for its fields."


class BodyTooLarge(InvalidInput):
    """The request body passes the limit, compressed or not."""

    code = "too_large"
    remedy = "Split the batch; the limit is 500 KB of JSON after decompression."


class BadMap(InvalidInput):
    """A MAP.yaml that cannot be followed."""

    code = "bad_map"
    remedy = "Correct the places named; docs and examples/real show whole maps."


class UnreadableFile(InvalidInput):
    """The file is not CSV, JSONL or Parquet, or is damaged from the start."""

    code = "unreadable_file"
    remedy = "Give CSV (.csv, .tsv, .txt), JSON lines (.jsonl, .ndjson) or Parquet (.parquet), plain, .gz or .zst."


class NoHandler(InvalidInput):
    """Nothing here knows what to do with rows of this kind."""

    code = "no_handler"
    remedy = "Use one of the kinds named in the message for `what`."


class ImportMoved(Conflict):
    """Another run works on the same file under the same map."""

    code = "import_moved"
    remedy = "Let the other run end; running again then resumes or is a no-op."


class TooBusy(Unavailable):
    """More calls wait for a commit than this process holds; nothing of the request was taken."""

    code = "too_busy"
    remedy = "Send the same request again after the seconds in Retry-After; repeats are recognised by messageId."


class EventRejected(InvalidInput):
    """A single call that cannot be taken; ``problems`` names the place."""

    code = "event_rejected"
    remedy = "Correct the place named in errors and send the call again; see the Segment spec for its fields."


class KeyWithoutSource(NotPermitted):
    """The key may collect, but for nobody in particular, so no declared purpose stands behind it."""

    code = "key_without_source"
    remedy = "Make a key for a registered source: candor keys create --scope collect --source NAME."
