. "$CONTEXTS/patterns"
