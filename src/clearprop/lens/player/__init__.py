"""The player: one self-contained HTML page that plays a tape forward, and then backward edge by edge.

`scenes` makes the steps, `words` the sentences, `values` what is shown of arrays, `nesting` the boxes within boxes, and
`page` puts them together with the scripts and styles in `templates/`.
"""

from clearprop.lens.player.page import Player

__all__ = ["Player"]
