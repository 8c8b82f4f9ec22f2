. "$CONTEXTS/links"
printf '%s\n' '**/*' '!**/c.go' > .dockerignore
