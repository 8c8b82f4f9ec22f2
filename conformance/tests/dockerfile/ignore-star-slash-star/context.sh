. "$CONTEXTS/links"
printf '%s\n' '*/*' > .dockerignore
