"""Films and pictures of stored trips beyond a plain video: side by side, highlights, contact sheets, GIFs."""
