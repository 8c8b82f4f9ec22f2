. "$CONTEXTS/links"
printf '%s\n' 'd/' 't.txt/' > .dockerignore
