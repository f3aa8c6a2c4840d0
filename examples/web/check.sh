#!/bin/sh
# Healthy is what answers with its page. A check has the app's environment, so PORT is the same here.

exec python3 - "${PORT:-8000}" <<'PYTHON'
import sys
import urllib.request

# No proxy: the question is whether this server answers, not whether somebody does.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with opener.open(f"http://127.0.0.1:{sys.argv[1]}/", timeout=5) as answer:
        answer.read()
except OSError as error:
    sys.exit(f"no answer on port {sys.argv[1]}: {error}")
PYTHON
