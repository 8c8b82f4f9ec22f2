. "$CONTEXTS/links"
printf '%s\n' 'd' > Dockerfile.dockerignore
