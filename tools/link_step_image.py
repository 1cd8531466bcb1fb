"""Let the project's environment see what the evaluation image holds, without installing it twice.

The other way round stays shut: a step's interpreter sees the image's packages and nothing of the project.
"""

import sys
import sysconfig
from pathlib import Path

image = Path(sys.argv[1]).resolve()
minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
link = Path(sysconfig.get_path("purelib")) / "step_image.pth"
link.write_text(f"{image / 'lib' / minor / 'site-packages'}\n")
