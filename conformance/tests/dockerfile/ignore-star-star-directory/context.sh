. "$CONTEXTS/links"
printf '%s\n' '**/f' '**/e/' > .dockerignore
