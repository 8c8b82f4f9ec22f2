. "$CONTEXTS/links"
printf '%s\n' 'tl' 'dl/a.txt' > .dockerignore
