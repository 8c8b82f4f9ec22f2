. "$CONTEXTS/links"
printf '%s\n' '[\t].txt' > .dockerignore
