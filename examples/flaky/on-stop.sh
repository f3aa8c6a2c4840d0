#!/bin/sh
# A new start by command begins with a clean record; a restart after a failure does not.

if [ "$DAEMONCTL_REASON" = stopped ]; then
    rm -f "$APPDEPLOY_APP_PATH/logs/tries"
fi
