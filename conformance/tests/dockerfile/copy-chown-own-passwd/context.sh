. "$CONTEXTS/patterns"
echo me:x:7:8::/:/bin/sh > passwd; echo us:x:9: > group
