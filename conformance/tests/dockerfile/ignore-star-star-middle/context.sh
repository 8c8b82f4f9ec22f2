. "$CONTEXTS/links"
printf '%s\n' 'd/**/c.go' > .dockerignore
