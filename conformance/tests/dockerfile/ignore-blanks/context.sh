. "$CONTEXTS/links"
printf '%s\n' '  t.txt  ' '	d2	' 'sp ace' > .dockerignore
