"""Email through SendGrid v3: the body, the sending, the signed webhook. The only owner of the sendgrid package."""
