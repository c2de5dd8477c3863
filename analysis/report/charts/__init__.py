"""Interactive charts: tables of `Findings` in, descriptions for Vega-Lite (plain mappings) out.

One file a kind of chart; `base` has what they share. A description holds its data, names colours by
role (`var(--arm-0)`), and is drawn twice: by the page's script in a browser, and by `static_svg`
without one. The same run gives the same bytes.
"""

from analysis.report.charts.base import Spec
from analysis.report.charts.drawn import in_light, script, static_svg

__all__ = ["Spec", "in_light", "script", "static_svg"]
