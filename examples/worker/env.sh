# Sourced by /bin/sh before each start: the place for what must be worked out on the machine. Export what the app needs.

export WORKER_STATE="$APPDEPLOY_APP_PATH/state"
