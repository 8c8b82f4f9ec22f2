. "$CONTEXTS/links"
echo lit > '$A'
