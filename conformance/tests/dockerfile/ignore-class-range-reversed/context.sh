. "$CONTEXTS/links"
printf '%s\n' '[z-a].txt' > .dockerignore
