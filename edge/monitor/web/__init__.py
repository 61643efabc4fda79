"""The monitor's web server: JSON, server-sent events, pages.  Needs the extra `monitor`."""
