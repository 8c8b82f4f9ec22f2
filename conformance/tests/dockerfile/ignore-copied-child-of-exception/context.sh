. "$CONTEXTS/links"
printf '%s\n' 'd' '!d/e/f/c.go' > .dockerignore
