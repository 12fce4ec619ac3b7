"""Why: attributions, reasons in plain words, levers, the why page. See README.md."""
