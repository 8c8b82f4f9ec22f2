. "$CONTEXTS/links"
printf '%s\n' 'd/**/a.txt' > .dockerignore
