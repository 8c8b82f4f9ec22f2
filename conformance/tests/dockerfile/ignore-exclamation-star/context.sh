. "$CONTEXTS/links"
printf '%s\n' 'd/*' '!d/*.txt' '!d/e' > .dockerignore
