touch "with blank "
