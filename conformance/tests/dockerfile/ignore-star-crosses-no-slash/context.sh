. "$CONTEXTS/links"
printf '%s\n' 'd/*.txt' '*/c.go' > .dockerignore
