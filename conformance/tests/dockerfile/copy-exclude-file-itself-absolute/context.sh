. "$CONTEXTS/links"
