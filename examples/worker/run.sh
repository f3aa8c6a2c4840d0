#!/bin/sh
# Works on one thing after the other, finishes what it has begun when it is stopped, and counts anew on reload.

mkdir -p "$WORKER_STATE"
stop=
trap 'stop=yes' TERM
trap 'count=0; echo "reloaded"' HUP

count=0
until [ "$stop" ]; do
    count=$((count + 1))
    echo "$GREETING: working on thing $count"
    sleep "$WORKER_PAUSE" &
    # A signal ends the wait early, and the work goes on.
    while kill -0 $! 2>/dev/null; do wait $!; done
    echo "thing $count is done"
    date > "$WORKER_STATE/alive"
done
rm -f "$WORKER_STATE/alive"
echo "no thing is left half done"
