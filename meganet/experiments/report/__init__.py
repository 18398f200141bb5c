"""What is shown of stored runs: tables, figures, the page that holds them."""
