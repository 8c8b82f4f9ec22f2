. "$CONTEXTS/links"
printf '%s\n' '# t.txt' ' # u.txt' 't.txt # no' '#d' > .dockerignore
