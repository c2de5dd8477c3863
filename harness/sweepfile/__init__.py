"""One sweep file → frozen settings. In: YAML text. Out: a Sweep, or all mistakes."""
