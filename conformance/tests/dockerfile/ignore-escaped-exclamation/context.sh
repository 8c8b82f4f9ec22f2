. "$CONTEXTS/links"
touch "!odd"
printf '%s\n' '\!odd' > .dockerignore
