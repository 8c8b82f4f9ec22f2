. "$CONTEXTS/links"
printf '%s\n' 'd/*' '!d/a.txt' '[tu].t?t' 'dl' > .dockerignore
