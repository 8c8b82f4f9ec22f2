. "$CONTEXTS/links"
printf '' > .dockerignore
