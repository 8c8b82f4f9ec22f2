. "$CONTEXTS/links"
touch "odd*" oddly
printf '%s\n' '\*.txt' 'odd\*' > .dockerignore
