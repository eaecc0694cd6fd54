"""Films and pictures of stored episodes beyond a plain video: side by side, highlights, contact sheets, GIFs."""
