. "$CONTEXTS/links"
printf '%s\n' 'Dockerfile' > .dockerignore
