"""Privacy signals that come with a request: Global Privacy Control, TCF and GPP strings, and what they mean to the gate."""
