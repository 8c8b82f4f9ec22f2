. "$CONTEXTS/links"
printf '%s\n' '/d/e' './d2' 'd/../t.txt' 'Dockerfile' '.dockerignore' > .dockerignore
