"""What is measured: the same routes in different clothes."""
