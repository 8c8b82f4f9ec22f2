. "$CONTEXTS/links"
printf '%s\n' '*' '!d/e/f' 'd/e/f/c.go' > .dockerignore
