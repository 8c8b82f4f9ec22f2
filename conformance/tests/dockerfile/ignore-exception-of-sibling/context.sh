. "$CONTEXTS/links"
printf '%s\n' 'd*' '!d2' > .dockerignore
