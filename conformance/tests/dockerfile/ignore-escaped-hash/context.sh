. "$CONTEXTS/links"
touch "#odd" "#other"
printf '%s\n' '\#odd' '#other' > .dockerignore
